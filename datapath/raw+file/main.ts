import { main } from '../../src/main.ts';
import { rawFilePlugin } from './calls.ts';

void main(rawFilePlugin, () => import('../../src/commands.ts'));
