/** Work that is done two pieces at a time, as the smallest machine has cores. */
const LANES = 2;

/**
 * Does the work for all items, in their order. Without `lanes` two at a time.
 * @template Item, Result
 * @param {Item[]} items
 * @param {(item: Item) => Promise<Result>} work what it throws ends all, after what is under way
 * @param {number} [lanes]
 * @returns {Promise<Result[]>} in the order of the items
 */
export async function inLanes(items, work, lanes = LANES) {
  /** @type {Result[]} */
  const results = [];
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < items.length && !failed) {
      const at = next++;
      try {
        results[at] = await work(items[at]);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const broken = ends.find(({ status }) => status === 'rejected');
  if (broken) throw broken.reason;
  return results;
}
