// Where the arrow keys go.

/**
 * The next place in a row of `length` after a key; undefined for keys that do not move. In a text
 * that runs from right to left, the right arrow goes back.
 */
export function keyTarget(
  event: { key: string },
  now: number,
  length: number,
  rightToLeft = false,
): number | undefined {
  const last = length - 1;
  const to = (place: number) => Math.min(Math.max(place, 0), last);
  const [forward, back] = rightToLeft ? ['ArrowLeft', 'ArrowRight'] : ['ArrowRight', 'ArrowLeft'];
  switch (event.key) {
    case forward:
    case 'ArrowDown':
      return to(now + 1);
    case back:
    case 'ArrowUp':
      return to(now < 0 ? last : now - 1);
    case 'PageDown':
      return to(now + 10);
    case 'PageUp':
      return to(now - 10);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return undefined;
  }
}
