/** A server that listens on all addresses is reached by the one that brought us here. */
const reachable = (address, host) => address.replace(/(^|\/\/)(0\.0\.0\.0|\[::\]):/, `$1${host}:`);

/** Text for a shell, whatever is in it. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Where a picture and what is seen in it can be had, beside this page.
 * @param {Record<string, string>} addresses what sink serves, by purpose
 * @param {{kind: string, name: string, output: string}} view
 * @param {string} host of this page
 * @returns {{title: string, text: string}[]}
 */
export function addressesOf(addresses, { kind, name, output }, host) {
  const list = [];
  if (addresses.rtsp) {
    const path = [name, output].filter((part) => part !== '').map(encodeURIComponent).join('/');
    list.push({ title: 'RTSP, for players and recorders', text: `${reachable(addresses.rtsp, host)}/${path}` });
  }
  if (addresses.grpc && kind === 'streams') {
    const request = quoted(JSON.stringify({ stream_ids: [name] }));
    const server = reachable(addresses.grpc, host);
    list.push({
      title: 'gRPC, all detections as they come',
      text: `grpcurl -plaintext -d ${request} ${server} framebus.detection.v1.DetectionService/Subscribe`,
    });
  }
  return list;
}

/** Copies a text; also where the page came over plain HTTP, when browsers offer no clipboard. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'spoken';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('the browser does not let it be copied');
}
