import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { dropRules, healRules } from './network.ts';

/** Runs nftables commands in a network namespace that has one network card, and lists the rules then. */
function apply(...commands: readonly string[]): { readonly rules: string; readonly errors: string } {
  const script = [
    'ip link add tap-a type veth peer name tap-b',
    ...commands.map((text) => `nft -f - <<'END'\n${text}END`),
    'nft list ruleset',
  ].join('\n');
  const { stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-ec', script], { encoding: 'utf8' });
  return { rules: stdout, errors: stderr };
}

describe('the rules of a one-way drop', () => {
  test('take what a machine sends where it comes in, and what it gets where it goes out', () => {
    const { rules, errors } = apply(dropRules('tap-a', 'from-machine'), dropRules('tap-a', 'to-machine'));
    expect(errors).toBe('');
    expect(rules).toMatch(/hook ingress device "tap-a" priority filter; policy drop/);
    expect(rules).toMatch(/hook egress device "tap-a" priority filter; policy drop/);
  });

  test('are gone after heal, which is harmless without any', () => {
    const drops = [dropRules('tap-a', 'from-machine'), dropRules('tap-a', 'to-machine')];
    expect(apply(healRules('tap-a'), ...drops, healRules('tap-a'))).toEqual({ rules: '', errors: '' });
  });

  test('of one card are left alone by heal of another', () => {
    const { rules } = apply(dropRules('tap-b', 'to-machine'), healRules('tap-a'));
    expect(rules).toContain('device "tap-b"');
  });
});
