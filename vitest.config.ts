import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{native,src,volume,datapath,cluster,cli,test,vagrant}/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Each call from its start: what stands by for the next one would outlive the folders of its test.
    env: { GFS2_SR_STANDBY: 'no' },
  },
});
