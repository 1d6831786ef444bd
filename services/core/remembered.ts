// Remembered: what is read from a key, kept for those who come with the same one.
// In: how many at most, a way to read. Out: the same way, which reads each key once. Never: more than so many; past that all are forgotten.

/** @param read gives the same for the same key; what it throws is not remembered */
export function remembered<K, V>(max: number, read: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    const present = known.get(key);
    if (present !== undefined) return present;
    const value = read(key);
    if (known.size >= max) known.clear();
    known.set(key, value);
    return value;
  };
}
