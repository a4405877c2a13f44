import { describe, expect, it } from 'vitest';
import { Screen } from '../../../../cli/demo/screen.js';

/** A terminal of which only cursor-up and erase-below are needed. */
class Terminal {
  readonly isTTY = true;
  readonly columns = 20;
  lines: string[] = [''];

  write(text: string): boolean {
    const moved = text.replace(/^\r\x1b\[(\d+)A\x1b\[0J/, (_, up: string) => {
      this.lines = [...this.lines.slice(0, this.lines.length - 1 - Number(up)), ''];
      return '';
    });
    const [first = '', ...rest] = moved.split('\n');
    this.lines.push((this.lines.pop() ?? '') + first, ...rest);
    return true;
  }
}

describe('Screen on a terminal', () => {
  it('redraws the table in place and prints lines above it', () => {
    const terminal = new Terminal();
    const screen = new Screen(terminal);
    screen.table(['a 1', 'b 1']);
    screen.print('something happened');
    screen.table(['a 2']);
    expect(terminal.lines).toEqual(['something happened', 'a 2', '']);
  });

  it('cuts what would wrap', () => {
    const terminal = new Terminal();
    new Screen(terminal).table(['x'.repeat(50)]);
    expect(terminal.lines[0]).toHaveLength(19);
  });

  it('leaves the last table where it is', () => {
    const terminal = new Terminal();
    const screen = new Screen(terminal);
    screen.table(['a 1']);
    screen.keep();
    screen.print('end');
    expect(terminal.lines).toEqual(['a 1', 'end', '']);
  });
});

describe('Screen without a terminal', () => {
  it('writes progress when it changes, and the table now and then', () => {
    let text = '';
    const screen = new Screen({
      write(part: string) {
        text += part;
        return true;
      },
    });
    screen.progress('starting', 0);
    screen.progress('starting', 200);
    screen.progress('opening', 400);
    screen.table(['a 1']);
    screen.table(['a 2']);
    expect(text).toBe('starting …\nopening …\na 1\n\n');
  });
});
