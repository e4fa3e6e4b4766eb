// Numbers as people read them, always with their unit.

const WHOLE = new Intl.NumberFormat("en");
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export const NONE = "–";

export const whole = (number) => WHOLE.format(number);

export function bytes(number) {
  let at = 0;
  let value = number;
  while (value >= 1024 && at < BINARY.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${digits(value, at === 0)} ${BINARY[at]}`;
}

/** Three digits, or a whole number as it is. */
function digits(value, isWhole) {
  if (isWhole) return WHOLE.format(value);
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return NONE;
  const value = 100 * share;
  return `${value.toFixed(value >= 99.95 || value === 0 ? 0 : value >= 10 ? 1 : 2)} %`;
}

export function counted(number, one, many = `${one}s`) {
  return `${whole(number)} ${number === 1 ? one : many}`;
}

/** A time of some seconds. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value === 0) return "0 s";
  if (value < 1e-3) return `${digits(value * 1e6, false)} µs`;
  if (value < 1) return `${digits(value * 1e3, false)} ms`;
  return `${digits(value, false)} s`;
}

/** How long something has been. */
export function age(ms) {
  const total = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(total / 86_400), "d"],
    [Math.floor(total / 3600) % 24, "h"],
    [Math.floor(total / 60) % 60, "min"],
    [total % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
}

export function rate(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0 /s";
  return `${value >= 100 ? whole(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2)} /s`;
}
