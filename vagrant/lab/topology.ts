/** The lab's networks and machines, which the Vagrantfile reads from the same file. */
import topology from '../topology.json' with { type: 'json' };

const names = Object.keys(topology.networks);
const [managementName] = names;

/** The machines that a lab can have. */
export const machineNames: readonly string[] = Object.keys(topology.machines);

/** The networks' definitions for libvirt; the first one gives out the machines' fixed addresses. */
export function networkDefinitions(): readonly { readonly name: string; readonly xml: string }[] {
  return Object.entries(topology.networks).map(([name, { prefix, bridge }]) => ({
    name,
    xml: name === managementName ? managementXml(name, prefix, bridge) : privateXml(name, prefix, bridge),
  }));
}

function managementXml(name: string, prefix: string, bridge: string): string {
  const leases = Object.entries(topology.machines).map(
    ([machine, { number }]) =>
      `<host mac='${macOf(name, number)}' name='${machine}' ip='${prefix}.${number}'><lease expiry='0'/></host>`,
  );
  return (
    `<network><name>${name}</name><forward mode='open'/><bridge name='${bridge}' stp='off'/>` +
    `<ip address='${prefix}.1' netmask='255.255.255.0'><dhcp><range start='${prefix}.100' end='${prefix}.199'/>` +
    `${leases.join('')}</dhcp></ip></network>`
  );
}

/** Without names and leases there is no dnsmasq and no firewall rule for it. */
function privateXml(name: string, prefix: string, bridge: string): string {
  return (
    `<network><name>${name}</name><bridge name='${bridge}' stp='off'/><dns enable='no'/>` +
    `<ip address='${prefix}.1' netmask='255.255.255.0'/></network>`
  );
}

/** As in the Vagrantfile: the last bytes say the network and the machine. */
function macOf(network: string, number: number): string {
  const hexadecimal = (value: number): string => value.toString(16).padStart(2, '0');
  return `52:54:00:90:${hexadecimal(names.indexOf(network))}:${hexadecimal(number)}`;
}

/** The address of a machine on a network. */
export function addressOf(machine: string, network: keyof typeof topology.networks): string {
  const { number } = topology.machines[machine as keyof typeof topology.machines];
  return `${topology.networks[network].prefix}.${number}`;
}
