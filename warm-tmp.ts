import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { qcow2Options } from './volume/images/qcow2-options.ts';
const folder = mkdtempSync('/tmp/warm-');
const env = { ...process.env, GFS2_SR_RUN_DIR: join(folder, 'run') };
const P = '/work/main/build/root/usr/libexec/xapi-storage-script/volume/org.xen.xapi.storage.gfs2';
const sock = join(folder, 'run/standby/org.xen.xapi.storage.gfs2');
let took = 0;
const ready = async () => { for (let i = 0; i < 400 && !existsSync(sock); i++) await new Promise((r) => setTimeout(r, 10)); await new Promise((r) => setTimeout(r, 20)); };
const call = (name: string, p: object) => { const input = JSON.stringify({ dbg: 'b', ...p }); const b = performance.now(); const r = spawnSync(join(P, name), ['--json'], { input, env, encoding: 'utf8' }); took = performance.now() - b; if (r.status !== 0) throw new Error(r.stdout + r.stderr); return JSON.parse(r.stdout); };
const path = join(folder, 'sr'); mkdirSync(path);
const cfg = call('SR.create', { uuid: crypto.randomUUID(), configuration: { provider: 'path', path }, name: 'n', description: '' });
const sr = call('SR.attach', { configuration: cfg });
const t: Record<string, number[]> = { bare: [], query: [], snapshot: [], clone: [], 'clone of snapshot': [], 'cold snapshot': [] };
const add = (k: string) => t[k]!.push(took);
for (let i = 0; i < 15; i++) {
  const vol = call('Volume.create', { sr, name: 'v', description: '', size: 2 ** 30, sharable: false });
  const parent = decodeURIComponent(new URL(vol.uri[0]).pathname);
  const write = () => execFileSync('qemu-io', ['-c', 'write 0 64k', parent]);
  write();
  const b = performance.now();
  spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', qcow2Options, '-b', parent, '-F', 'qcow2', join(folder, 'bare'), String(2 ** 30)]);
  took = performance.now() - b; add('bare');
  await ready(); call('Plugin.Query', {}); add('query');
  await ready(); const s = call('Volume.snapshot', { sr, key: vol.key }); add('snapshot');
  await ready(); call('Volume.clone', { sr, key: s.key }); add('clone of snapshot');
  const leaf = decodeURIComponent(new URL(call('Volume.stat', { sr, key: vol.key }).uri[0]).pathname);
  execFileSync('qemu-io', ['-c', 'write 0 64k', leaf]);
  await ready(); call('Volume.clone', { sr, key: vol.key }); add('clone');
}
const n = t.bare!.length;
for (const [k, a] of Object.entries(t)) { const ratios = a.map((x, i) => x / t.bare![i]!).sort((x, y) => x - y); a.sort((x, y) => x - y); if (a.length) console.log(k.padEnd(20), 'median', a[Math.floor(n / 2)]!.toFixed(1), 'least', a[0]!.toFixed(1), 'ratio', ratios[Math.floor(n / 2)]!.toFixed(2)); }
rmSync(folder, { recursive: true });
