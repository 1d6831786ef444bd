// A reason why the broker cannot start, told to the operator in one clear line.
// In: that line. Out: what main prints before it exits with code 1. Never: a stack trace for a person's mistake.

export class StartError extends Error {
  override readonly name = "StartError";
}
