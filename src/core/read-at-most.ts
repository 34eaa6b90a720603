/**
 * The bytes of a stream. Once there are more than `limit`, the stream is closed and the rest never arrives, so that
 * memory stays bounded whatever a peer sends.
 *
 * @returns the first `limit` bytes, and whether those are all
 */
export async function readAtMost(
  source: AsyncIterable<Uint8Array> | null,
  limit: number,
): Promise<{ readonly bytes: Buffer; readonly whole: boolean }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source ?? []) {
    size += chunk.length;
    if (size > limit) {
      chunks.push(chunk.subarray(0, chunk.length - (size - limit)));
      break;
    }
    chunks.push(chunk);
  }
  return { bytes: Buffer.concat(chunks), whole: size <= limit };
}
