import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{native,src,volume,datapath,cluster,cli,test,vagrant}/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
