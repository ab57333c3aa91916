import { main } from '../../src/main.ts';
import { rawBlockPlugin } from './calls.ts';

void main(rawBlockPlugin, () => import('../../src/commands.ts'));
