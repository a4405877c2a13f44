import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OwnFolder } from './own_folder.js';

/** The temporary folder of a fleet: configuration, bus sockets, NATS's files. */
export class Workspace {
  readonly directory: string;
  readonly busDirectory: string;
  readonly configFile: string;
  readonly #folder: OwnFolder;

  /** `name`: of the command. Also clears away what others of it left that were killed. */
  constructor(name: string, parent: string = tmpdir()) {
    this.#folder = new OwnFolder(parent, `framebus-${name}-`);
    this.directory = this.#folder.directory;
    this.busDirectory = join(this.directory, 'bus');
    mkdirSync(this.busDirectory, { mode: 0o750 });
    this.configFile = join(this.directory, 'framebus.yaml');
  }

  /** Removes everything. Says whether the services had left their sockets behind. */
  remove(): { leftBehind: string[] } {
    const leftBehind = existsSync(this.busDirectory) ? readdirSync(this.busDirectory) : [];
    this.#folder.remove();
    return { leftBehind };
  }
}
