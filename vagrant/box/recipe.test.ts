import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { recipeHash } from './recipe.ts';

describe('the hash that names a box', () => {
  let scratch: string;
  let recipe: string;
  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'box-recipe-'));
    recipe = join(scratch, 'recipe');
    mkdirSync(join(recipe, 'root/etc'), { recursive: true });
    writeFileSync(join(recipe, 'root/etc/fstab'), 'one\n');
    writeFileSync(join(recipe, 'init'), '#!/bin/sh\n');
  });
  afterEach(() => rmSync(scratch, { recursive: true }));

  test('is the same in another clone', () => {
    const clone = join(scratch, 'clone');
    cpSync(recipe, clone, { recursive: true });
    expect(recipeHash(clone)).toBe(recipeHash(recipe));
    expect(recipeHash(recipe)).toMatch(/^[0-9a-f]{16}$/);
  });

  test('changes with a file that goes into the box, also in its mode or its name alone', () => {
    const hashes = [recipeHash(recipe)];
    writeFileSync(join(recipe, 'root/etc/fstab'), 'two\n');
    hashes.push(recipeHash(recipe));
    chmodSync(join(recipe, 'init'), 0o755);
    hashes.push(recipeHash(recipe));
    cpSync(join(recipe, 'init'), join(recipe, 'init2'));
    hashes.push(recipeHash(recipe));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test('does not change with a test', () => {
    const before = recipeHash(recipe);
    writeFileSync(join(recipe, 'recipe.test.ts'), 'a test\n');
    expect(recipeHash(recipe)).toBe(before);
  });

  test("covers the content of the tester's folder", () => {
    const extra = join(scratch, 'extra');
    mkdirSync(extra);
    const empty = recipeHash(recipe, extra);
    writeFileSync(join(extra, 'tapdisk'), 'version 1');
    const first = recipeHash(recipe, extra);
    writeFileSync(join(extra, 'tapdisk'), 'version 2');
    expect(empty).toBe(recipeHash(recipe));
    expect(new Set([empty, first, recipeHash(recipe, extra)]).size).toBe(3);
  });
});
