/** What a cluster is to be, as whoever sets it up says it, and the rules for that. */
import { isIP } from 'node:net';
import { PluginError } from '../src/smapi/errors.ts';

/** A host of the cluster. */
export interface ClusterNode {
  /** Its number in corosync, 1 to 65535. */
  readonly id: number;
  readonly name: string;
  /** Its IP addresses, one a link, in the order of the links; each host has as many. */
  readonly addresses: readonly string[];
}

/** How one host is reached through a fencing device. */
export interface FenceConnection {
  /** The number of the host that is fenced this way. */
  readonly node: number;
  /** What the agent is told for this host, such as `port`. */
  readonly options: Readonly<Record<string, string>>;
}

/** A fencing device: an agent and how it reaches each host. */
export interface FenceDevice {
  /** `NAME`, or `NAME:1` and `NAME:2` for devices that must all succeed. */
  readonly name: string;
  /** The agent's program, by its path. */
  readonly agent: string;
  /** What the agent is told for every host, such as `ip`, `username` and `password`. */
  readonly options: Readonly<Record<string, string>>;
  readonly connections: readonly FenceConnection[];
  /** Whether a host that starts lifts its own fence first, as `fence_scsi` needs. */
  readonly unfence: boolean;
}

/** A whole cluster. It is the same on every host. */
export interface ClusterConfiguration {
  readonly name: string;
  /** Milliseconds without a sign of life after which a host counts as lost. */
  readonly token: number;
  /** The secret that the hosts share. */
  readonly key: Uint8Array;
  readonly nodes: readonly ClusterNode[];
  /** In the order in which they are tried. */
  readonly fencing: readonly FenceDevice[];
}

const defaultToken = 10_000;
/** knet numbers hosts with 16 bits, and has 8 links. */
const maxNodeId = 65_535;
const maxLinks = 8;
/** More than a gfs2 is given journals for. */
const maxNodes = 32;
/** libknet's limits for a key. */
const keyBytes = { min: 128, max: 4096 } as const;
/** dlm_controld's limits: devices of one host, a name, all that an agent is told. */
const maxDevices = 4;
const maxName = 255;
const maxArguments = 4000;

/**
 * Reads a cluster's configuration from JSON:
 * `{name, token?, key, nodes: [{id, name, addresses}], fencing?: [{name, agent, options?, unfence?,
 * connections: [{node, options?}]}]}`, the key in base64, the token in milliseconds.
 *
 * @throws PluginError `InvalidCluster` naming what to write; no message holds the key or an agent's options.
 */
export function parseClusterConfiguration(json: string): ClusterConfiguration {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    // Without the parser's own words: they quote the text, and the key is in it.
    throw invalid('what was given is no JSON; give an object with name, key, nodes and fencing');
  }
  const object = asObject(parsed, 'the configuration');
  const { name, token = defaultToken, key, nodes, fencing = [], ...others } = object;
  refuseOthers(others, 'the configuration');
  const configuration = {
    name: checkClusterName(name),
    token: integer(token, 'token', 1_000, 300_000, 'milliseconds'),
    key: decodeKey(key),
    nodes: checkNodes(asArray(nodes, 'nodes').map(parseNode)),
    fencing: asArray(fencing, 'fencing').map(parseDevice),
  };
  checkFencing(configuration);
  return configuration;
}

/** @throws PluginError `InvalidCluster` unless gfs2 and dlm take it for a cluster's name. */
function checkClusterName(name: unknown): string {
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/.test(name)) {
    throw invalid(
      `the cluster's name is ${quote(name)}; write 1 to 32 letters, digits, - or _, a letter or digit first`,
    );
  }
  return name;
}

function decodeKey(key: unknown): Uint8Array {
  const size = `${keyBytes.min} to ${keyBytes.max} bytes in base64, such as from: head -c 256 /dev/urandom | base64 -w 0`;
  if (typeof key !== 'string') throw invalid(`there is no key; give ${size}`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key) || key.length % 4 !== 0) {
    throw invalid(`the key is not base64; give ${size}`);
  }
  const bytes = Buffer.from(key, 'base64');
  if (bytes.length < keyBytes.min || bytes.length > keyBytes.max) {
    throw invalid(`the key has ${bytes.length} bytes; give ${size}`);
  }
  return bytes;
}

function parseNode(value: unknown): ClusterNode {
  const { id, name, addresses, ...others } = asObject(value, 'a node');
  const number = integer(id, "a node's id", 1, maxNodeId);
  refuseOthers(others, `node ${number}`);
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/.test(name)) {
    throw invalid(`the name of node ${number} is ${quote(name)}; write its host name`);
  }
  const given = asArray(addresses, `the addresses of ${name}`).map((address) => {
    if (typeof address !== 'string' || !isUsableAddress(address)) {
      throw invalid(
        `${quote(address)} is no address for ${name}; write an IP address that the other hosts reach, such as 192.0.2.11`,
      );
    }
    return address.toLowerCase();
  });
  if (given.length === 0 || given.length > maxLinks) {
    throw invalid(`${name} has ${given.length} addresses; give 1 to ${maxLinks}, one for each network`);
  }
  return { id: number, name, addresses: given };
}

function isUsableAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !/^(0|127|169\.254|2(2[4-9]|[3-5]\d))\./.test(address);
  return family === 6 && !/^(::1?$|fe[89ab]|ff|.*%)/i.test(address);
}

function checkNodes(nodes: readonly ClusterNode[]): readonly ClusterNode[] {
  if (nodes.length === 0 || nodes.length > maxNodes) {
    throw invalid(`there are ${nodes.length} nodes; give 1 to ${maxNodes}`);
  }
  refuseRepeated(nodes, ({ id }) => [String(id)], 'the id');
  refuseRepeated(nodes, ({ name }) => [name.toLowerCase()], 'the name');
  refuseRepeated(nodes, ({ addresses }) => addresses, 'the address');
  const [first, ...rest] = nodes as [ClusterNode, ...ClusterNode[]];
  for (const node of rest) {
    if (node.addresses.length !== first.addresses.length) {
      throw invalid(
        `${first.name} has ${first.addresses.length} addresses and ${node.name} ${node.addresses.length}; give each host one on every network`,
      );
    }
    const link = node.addresses.findIndex(
      (address, index) => isIP(address) !== isIP(first.addresses[index] ?? ''),
    );
    if (link !== -1) {
      throw invalid(
        `${first.addresses[link]} of ${first.name} and ${node.addresses[link]} of ${node.name} are the same link, but one is IPv4 and the other IPv6; give the addresses in the same order`,
      );
    }
  }
  return nodes;
}

function refuseRepeated(
  nodes: readonly ClusterNode[],
  valuesOf: (node: ClusterNode) => readonly string[],
  what: string,
): void {
  const owners = new Map<string, string>();
  for (const node of nodes) {
    for (const value of valuesOf(node)) {
      const owner = owners.get(value);
      if (owner !== undefined) {
        const whose = owner === node.name ? `${owner} has` : `${owner} and ${node.name} both have`;
        throw invalid(`${whose} ${what} ${value}${owner === node.name ? ' twice' : ''}; each must be unique`);
      }
      owners.set(value, node.name);
    }
  }
}

function parseDevice(value: unknown): FenceDevice {
  const {
    name,
    agent,
    options = {},
    connections,
    unfence = false,
    ...others
  } = asObject(value, 'a fencing device');
  if (typeof name !== 'string' || name.length > maxName || !/^[A-Za-z0-9_-]+(:\d+)?$/.test(name)) {
    throw invalid(
      `a fencing device is named ${quote(name)}; write letters, digits, - or _, and :1, :2 after it for devices that must all succeed`,
    );
  }
  refuseOthers(others, `the fencing device ${name}`);
  if (typeof agent !== 'string' || agent.length > maxName || !/^\/[^\s\p{Cc}]+$/u.test(agent)) {
    throw invalid(`the agent of ${name} is ${quote(agent)}; write its path, such as /usr/sbin/fence_ipmilan`);
  }
  if (typeof unfence !== 'boolean') throw invalid(`unfence of ${name} must be true or false`);
  const device = {
    name,
    agent,
    unfence,
    options: parseOptions(options, name),
    connections: asArray(connections, `the connections of ${name}`).map((each) => {
      const { node, options: own = {}, ...more } = asObject(each, `a connection of ${name}`);
      refuseOthers(more, `a connection of ${name}`);
      return {
        node: integer(node, `node in a connection of ${name}`, 1, maxNodeId),
        options: parseOptions(own, name),
      };
    }),
  };
  return device;
}

/** dlm.conf divides options at spaces, and knows no quotes. */
function parseOptions(value: unknown, device: string): Readonly<Record<string, string>> {
  const options = asObject(value, `options of ${device}`);
  for (const [key, option] of Object.entries(options)) {
    if (!/^[A-Za-z0-9_-]+$/.test(key)) throw invalid(`an option of ${device} is named ${quote(key)}`);
    if (key === 'node')
      throw invalid(`the option node of ${device} is the host's number, which is added anyway`);
    if (typeof option !== 'string' || !/^[^\s\p{Cc}]+$/u.test(option)) {
      throw invalid(
        `the option ${key} of ${device} must be a text without spaces, for dlm cannot pass it on otherwise`,
      );
    }
  }
  const size = Object.entries(options).reduce(
    (sum, [key, text]) => sum + key.length + Buffer.byteLength(String(text)) + 2,
    0,
  );
  if (size > maxArguments / 2) throw invalid(`the options of ${device} are longer than dlm can pass on`);
  return options as Readonly<Record<string, string>>;
}

function checkFencing({ nodes, fencing }: Pick<ClusterConfiguration, 'nodes' | 'fencing'>): void {
  const known = new Set(nodes.map(({ id }) => id));
  const names = new Set<string>();
  for (const { name, connections } of fencing) {
    if (names.has(name)) throw invalid(`there are two fencing devices ${name}; each needs a name of its own`);
    names.add(name);
    if (connections.length === 0) throw invalid(`the fencing device ${name} is connected to no host`);
    const connected = new Set<number>();
    for (const { node } of connections) {
      if (!known.has(node))
        throw invalid(
          `the fencing device ${name} is connected to node ${node}, which is no node of this cluster`,
        );
      if (connected.has(node)) throw invalid(`the fencing device ${name} is connected to node ${node} twice`);
      connected.add(node);
    }
  }
  for (const { id, name } of nodes) {
    const count = fencing.filter(({ connections }) => connections.some(({ node }) => node === id)).length;
    if (count > maxDevices) throw invalid(`${name} has ${count} fencing devices; dlm takes ${maxDevices}`);
  }
}

function integer(value: unknown, what: string, min: number, max: number, unit = ''): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(
      `${what} is ${quote(value)}; write a whole number from ${min} to ${max}${unit === '' ? '' : `, in ${unit}`}`,
    );
  }
  return value;
}

function asObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${what} must be a JSON object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function asArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${what} must be a JSON list`);
  return value;
}

function refuseOthers(others: Readonly<Record<string, unknown>>, where: string): void {
  const [key] = Object.keys(others);
  if (key !== undefined) throw invalid(`${where} has ${quote(key)}, which means nothing`);
}

function quote(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value);
}

function invalid(what: string): PluginError {
  return new PluginError('InvalidCluster', `The cluster cannot be set up so: ${what}.`);
}
