/** Output for a person at a terminal. */

const bold = process.stdout.isTTY ? (text: string) => `\u001b[1m${text}\u001b[0m` : (text: string) => text;

/** Prints a headline. */
export function headline(text: string): void {
  process.stdout.write(`\n${bold(text)}\n`);
}

/** Prints a line. */
export function line(text: string): void {
  process.stdout.write(`  ${text}\n`);
}

/** Prints rows under a header, as wide as they are. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const format = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  line(bold(format(header)));
  for (const row of rows) line(format(row));
}

/** Formats bytes in binary units, as `64 MiB` or `1.5 TiB`. */
export function formatBytes(bytes: bigint): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let value = Number(bytes);
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${Number(value.toPrecision(4))} ${units[unit]}`;
}
