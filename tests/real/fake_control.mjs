// The control port of tests/real/fakes.rs: acts, what was posted, which rules were broken.
export function control(url, platform) {
  const ask = async (options) => {
    const response = await fetch(`${url}/${platform}`, options);
    const body = await response.json();
    if (!response.ok) throw new Error(`control: ${JSON.stringify(body)}`);
    return body;
  };
  const act = (what) => ask({ method: 'POST', body: JSON.stringify(what) });
  const report = () => ask({});
  const until = async (what, holds, seconds = 30) => {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const now = await report();
      if (holds(now)) return now;
      if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}: ${JSON.stringify(now)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return { act, report, until };
}
