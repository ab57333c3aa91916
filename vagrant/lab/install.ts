/** `node vagrant/lab/install.ts [HOST...]`: puts what is built now on hosts of the lab that is up (all unless told). */
import { installAppliance, packAppliance } from './hosts.ts';
import { hostNames, labHosts, openLab } from './lab.ts';

const vagrant = openLab({ onProgress: () => {} });
const named = process.argv.slice(2);
await packAppliance();
await Promise.all(
  (named.length > 0 ? named : hostNames(labHosts())).map((name) => installAppliance(vagrant.machine(name))),
);
await vagrant.close();
