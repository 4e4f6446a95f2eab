// A game's mistake is the game's: it is reported like any, and the room goes on.

/** Calls what a game gave; what it throws is thrown later, at nobody. */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
