import { main } from '../src/main.ts';
import { volumePlugin } from './calls.ts';

void main(volumePlugin);
