// Newest: how far a stream has come with each thing that it hears of by a reading and by the feed.
// In: facts' positions. Out: whether one is news. Never: the same word twice, or a memory of what only the feed can bring.
import { SparseMap } from "../core/sparse.ts";

export class Newest {
  readonly #positions = new SparseMap<string, number>();

  /** Remembers it, if it is. */
  isNews(id: string, position: number): boolean {
    if (position <= (this.#positions.get(id) ?? 0)) return false;
    this.#positions.set(id, position);
    return true;
  }

  isAt(id: string, position: number): boolean {
    return this.#positions.get(id) === position;
  }

  /** From here on the feed brings each fact of it once. */
  forget(id: string): void {
    this.#positions.delete(id);
  }
}
