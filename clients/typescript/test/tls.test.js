// Tests of TLS from Node: with the test's own certificate authority, and with a foreign one.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { connect, CustomerService } from "../dist/node.js";

const folder = mkdtempSync(join(tmpdir(), "clientela-"));
let server, address, ca;
let calls = 0;

before(async () => {
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  execFileSync("openssl", [...made, ...subject, "-keyout", key, "-out", cert], { stdio: "pipe" });
  ca = readFileSync(cert);
  const getCustomer = ({ name }) => {
    calls += 1;
    return { name };
  };
  const routes = (router) => void router.service(CustomerService, { getCustomer });
  server = createSecureServer({ key: readFileSync(key), cert: ca }, connectNodeAdapter({ routes }));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `localhost:${server.address().port}`;
});

after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

test("a server with a certificate of the named authority is called over TLS", async () => {
  const client = connect({ address, tls: { ca }, key: "clt_key" });
  assert.equal((await client.customers.getCustomer({ name: "customers/a" })).name, "customers/a");
  client.close();
});

test("a server with an untrusted certificate gets no call", async () => {
  const before = calls;
  const client = connect({ address, tls: true, key: "clt_key" });
  await assert.rejects(client.customers.getCustomer({ name: "customers/a" }), { name: "ClientelaError", reason: "" });
  assert.equal(calls, before);
  client.close();
});
