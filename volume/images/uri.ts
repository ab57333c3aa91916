/**
 * The URI by which datapath plugins know an image: `raw+file://` and its absolute path, each name
 * percent-encoded; with `?sharable=true` where several may write at once.
 */
export function imageUri(file: string, sharable: boolean): string {
  return `raw+file://${file.split('/').map(encodeURIComponent).join('/')}${sharable ? '?sharable=true' : ''}`;
}
