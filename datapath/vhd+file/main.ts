import { main } from '../../src/main.ts';
import { vhdFilePlugin } from './calls.ts';

void main(vhdFilePlugin, () => import('../../src/commands.ts'));
