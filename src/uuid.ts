const form = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text is a UUID, and so fit to be part of a file's name. */
export function isUuid(text: string): boolean {
  return form.test(text);
}
