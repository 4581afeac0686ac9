// units — numbers as a person reads them.

const names = ["B", "KiB", "MiB", "GiB", "TiB"];

// 1536 -> "1.50 KiB": three digits that count.
export function bytesText(bytes) {
  if (bytes === null || bytes === undefined) return "unknown";
  let value = bytes, unit = 0;
  while (Math.abs(value) >= 1024 && unit < names.length - 1) {
    value /= 1024;
    ++unit;
  }
  const size = Math.abs(value);
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${names[unit]}`;
}

// 1234567 -> "1,234,567"
export function exactText(number) {
  return number === null || number === undefined ? "not reported" : number.toLocaleString("en-US");
}

// Seconds: "0.42 s", "38 s", "4 min 10 s", "2 h 5 min"
export function durationText(seconds) {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
}

// Unix seconds: the time alone for today.
export function timeText(unix) {
  const date = new Date(unix * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

export function countText(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
