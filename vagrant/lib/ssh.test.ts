import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { shellQuote } from './ssh.ts';

test.each(['plain', '', 'two words', "it's", '$HOME `id` "x" \\', 'line\nend', '-n', '*'])(
  'a shell reads the quoted word %j as it was',
  (word) => {
    const { stdout } = spawnSync('sh', ['-c', `printf '<%s>' ${shellQuote(word)}`], { encoding: 'utf8' });
    expect(stdout).toBe(`<${word}>`);
  },
);
