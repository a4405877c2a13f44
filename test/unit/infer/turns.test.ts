import { describe, expect, it } from 'vitest';
import { Turns } from '../../../services/infer/turns.js';

const inTurn = (turns: Turns, streams: string[]): string[] => turns.inTurn(streams, (stream) => stream);

describe('Turns', () => {
  it('leaves the order of those who were never served', () => {
    expect(inTurn(new Turns(), ['c', 'a', 'b'])).toEqual(['c', 'a', 'b']);
  });

  it('puts first who was never served, then who was served longest ago', () => {
    const turns = new Turns();
    for (const stream of ['a', 'b', 'c', 'a']) turns.served(stream);
    expect(inTurn(turns, ['a', 'b', 'c', 'new'])).toEqual(['new', 'b', 'c', 'a']);
    expect(inTurn(turns, ['a', 'c', 'a'])).toEqual(['c', 'a', 'a']);
  });

  it('forgets streams beyond what it can remember, the oldest first', () => {
    const turns = new Turns();
    for (let index = 0; index < 4_097; index++) turns.served(`s${index}`);
    expect(inTurn(turns, ['s4096', 's1', 's0'])).toEqual(['s0', 's1', 's4096']);
  });
});
