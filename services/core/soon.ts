// Soon: a value that is here, or will be. What is asked for thousands of times a second is mostly here already,
// and waiting for it all the same costs more than finding it.
// In: values and promises of them. Out: the same. Never: a wait for what is here.

export type Soon<T> = T | Promise<T>;

/** What follows from a value, at once if it is here. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** All of them, at once if all are here. */
export function all<T>(values: readonly Soon<T>[]): Soon<readonly T[]> {
  const isWaiting = values.some((value) => value instanceof Promise);
  return isWaiting ? Promise.all(values) : (values as readonly T[]);
}
