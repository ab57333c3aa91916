import type { ImageFormat } from '../catalog/schema.ts';

/**
 * The URI by which datapath plugins know an image: `raw+file://`, `qcow2+file://` or `vhd+file://`, and its absolute path, each
 * name percent-encoded; with `?sharable=true` where several may write at once.
 */
export function imageUri(file: string, format: ImageFormat, sharable: boolean): string {
  return `${format}+file://${file.split('/').map(encodeURIComponent).join('/')}${sharable ? '?sharable=true' : ''}`;
}
