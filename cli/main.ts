/** The command line `gfs2-sr`: `node <bundle> gfs2-sr <command> [argument...]`. */
import { text } from 'node:stream/consumers';
import { type Command, type Terminal, UsageError } from './command.ts';
import { commands } from './commands.ts';

const terminal: Terminal = {
  print: (line) => void process.stdout.write(`${line}\n`),
  note: (line) => void process.stderr.write(`${line}\n`),
  readInput: () => text(process.stdin),
};

/** Exit codes: 0, 1 when a command failed, 2 when the command line means nothing. */
async function main(words: readonly string[]): Promise<number> {
  if (words.length === 0 || words.includes('--help') || words.includes('-h')) {
    for (const line of usageOf(words)) terminal.print(line);
    return words.length === 0 ? 2 : 0;
  }
  const found = find(words);
  if (found === undefined) {
    terminal.note(`gfs2-sr: there is no command "${words.join(' ')}"; see gfs2-sr --help`);
    return 2;
  }
  const { name, command } = found;
  try {
    await command.run(words.slice(name.split(' ').length), terminal);
    return 0;
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error);
    if (error instanceof UsageError) {
      terminal.note(`gfs2-sr ${name}: ${sentence}; write: gfs2-sr ${name} ${command.usage}`.trimEnd());
      return 2;
    }
    terminal.note(`gfs2-sr ${name}: ${sentence}`);
    return 1;
  }
}

function find(words: readonly string[]): { readonly name: string; readonly command: Command } | undefined {
  const [name, command] =
    Object.entries(commands).find(([name]) => `${words.join(' ')} `.startsWith(`${name} `)) ?? [];
  return name === undefined || command === undefined ? undefined : { name, command };
}

function usageOf(words: readonly string[]): readonly string[] {
  const asked = words.filter((word) => !word.startsWith('-')).join(' ');
  const matching = Object.entries(commands).filter(([name]) => `${name} `.startsWith(asked));
  return (matching.length === 0 ? Object.entries(commands) : matching).flatMap(
    ([name, { usage, summary }]) => [`gfs2-sr ${name} ${usage}`.trimEnd(), `    ${summary}`],
  );
}

// A reader that has seen enough, such as head, is no failure.
process.stdout.on('error', () => process.exit(0));
void main(process.argv.slice(3)).then((code) => {
  process.exitCode = code;
});
