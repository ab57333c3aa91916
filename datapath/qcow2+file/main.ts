import { main } from '../../src/main.ts';
import { qcow2FilePlugin } from './calls.ts';

void main(qcow2FilePlugin, () => import('../../src/commands.ts'));
