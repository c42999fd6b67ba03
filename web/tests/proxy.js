// A proxy that cuts every connection at a given age, as some proxies do with streams.

import net from "node:net";
import { freePort } from "./server.js";

export class Proxy {
  cuts = 0;

  static async start(target, milliseconds) {
    const proxy = new Proxy();
    proxy.port = await freePort();
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    proxy.listener = net.createServer((near) => {
      const far = net.connect(target, "127.0.0.1");
      const cut = setTimeout(() => {
        proxy.cuts += 1;
        near.destroy();
      }, milliseconds);
      near.pipe(far);
      far.pipe(near);
      for (const [end, other] of [[near, far], [far, near]]) {
        end.on("error", () => {});
        end.on("close", () => {
          clearTimeout(cut);
          other.destroy();
        });
      }
    });
    await new Promise((resolve) => proxy.listener.listen(proxy.port, "127.0.0.1", resolve));
    return proxy;
  }

  end() {
    this.listener.close();
  }
}
