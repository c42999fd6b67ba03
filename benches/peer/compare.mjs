// Puts Clientela and Vendure under the same load in turns, with 16 calls in flight, and prints the rates and
// the processor time of each server per call. The load runs in this process, on the same machine as the
// servers. The client for gRPC takes more processor time than the one for HTTP, so the ratios of rates are
// low for Clientela.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const IN_FLIGHT = 16;
const ROUNDS = 3;
const { values } = parseArgs({
    options: {
        clientela: { type: 'string' }, proto: { type: 'string' }, seconds: { type: 'string' },
        customers: { type: 'string' },
    },
});
const seconds = Number(values.seconds);
const customers = Number(values.customers);
const folder = mkdtempSync(join(process.cwd(), 'run-'));
const children = [];

function start(program, args, stderr = 'inherit') {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', stderr] });
    children.push(child);
    child.on('exit', (code) => {
        if (code) {
            console.error(`${program} ended with ${code}`);
            finish(1);
        }
    });
    return child;
}

function finish(code) {
    for (const child of children) {
        child.removeAllListeners('exit');
        child.kill();
    }
    rmSync(folder, { recursive: true, force: true });
    process.exit(code);
}

/** The processor time of a process in microseconds; Linux counts in hundredths of a second. */
function cpuMicros(pid) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Makes calls for a time. Returns the calls a second and the server's processor time per call. */
async function load(pid, call) {
    const before = cpuMicros(pid);
    const began = performance.now();
    const end = began + seconds * 1000;
    let calls = 0;
    await Promise.all(Array.from({ length: IN_FLIGHT }, async (_, caller) => {
        while (performance.now() < end) {
            await call(caller, calls);
            calls += 1;
        }
    }));
    const took = (performance.now() - began) / 1000;
    return { rate: calls / took, cpu: (cpuMicros(pid) - before) / calls };
}

async function clientela() {
    const address = '127.0.0.1:50971';
    const data = join(folder, 'clientela');
    // The server formats and writes its log as in production, and the log is discarded.
    const child = start(values.clientela, ['serve', '--data-dir', data, '--listen', address], 'ignore');
    child.stdout.resume();
    const root = values.proto;
    const files = ['customer_service', 'cart_service', 'admin_service'];
    const definition = loader.loadSync(
        files.map((file) => `clientela/v1/${file}.proto`),
        { includeDirs: [root], longs: Number, defaults: true },
    );
    const { v1 } = grpc.loadPackageDefinition(definition).clientela;
    const credentials = grpc.credentials.createInsecure();
    const connected = new v1.AdminService(address, credentials);
    await new Promise((resolve, reject) => {
        connected.waitForReady(Date.now() + 30_000, (error) => (error ? reject(error) : resolve()));
    });
    const keys = readFileSync(join(data, 'keys'), 'utf8');
    const key = /^admin=(.*)$/m.exec(keys)[1].trim();
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${key}`);
    const [customerService, cartService] = [
        new v1.CustomerService(address, credentials), new v1.CartService(address, credentials),
    ];
    const unary = (client, method) => (request) => new Promise((resolve, reject) => {
        client[method](request, metadata, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
    const create = unary(customerService, 'CreateCustomer');
    const get = unary(customerService, 'GetCustomer');
    const list = unary(customerService, 'ListCustomers');
    const add = unary(cartService, 'AddItem');
    const person = (first, last, number) => ({
        customer: {
            firstName: first, lastName: `${last} ${number}`,
            email: `${first}.${last}.${number}@example.test`.toLowerCase(),
        },
    });
    const names = [];
    for (let from = 0; from < customers; from += IN_FLIGHT) {
        const part = Array.from({ length: Math.min(IN_FLIGHT, customers - from) }, (_, at) => from + at);
        const made = await Promise.all(part.map((number) => create(person('Ada', 'Lovelace', number))));
        names.push(...made.map((customer) => customer.name));
    }
    let next = 0;
    return {
        pid: child.pid,
        get: (_, n) => get({ name: names[(n * 7919) % names.length] }),
        list: (_, n) => list({ pageSize: 20, filter: `last_name = "Lovelace ${(n * 7919) % customers}"` }),
        create: () => create(person('Grace', 'Hopper', next++)),
        add: (caller, n) => add({
            target: { owner: { visitor: `a-visitor-of-the-bench-${caller}` } },
            item: {
                product: `product-${n % 8}`, displayName: 'T-shirt', quantity: 1,
                price: { listPrice: { currencyCode: 'EUR', micros: 19_120_000 }, taxRate: '19' },
            },
        }),
    };
}

async function vendure() {
    const port = 50972;
    const child = start('node', ['vendure.mjs', String(port), join(folder, 'vendure.sqlite'), String(customers)]);
    const ready = await new Promise((resolve) => {
        createInterface({ input: child.stdout }).on('line', (line) => {
            if (line.startsWith('{"port"')) {
                resolve(JSON.parse(line));
            }
        });
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    const post = (api, token, query, variables) => new Promise((resolve, reject) => {
        const body = JSON.stringify({ query, variables });
        const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
        if (token) {
            headers.authorization = `Bearer ${token}`;
        }
        const options = { host: '127.0.0.1', port, path: `/${api}`, method: 'POST', agent, headers };
        const request = http.request(options, (response) => {
            const pieces = [];
            response.on('data', (piece) => pieces.push(piece));
            response.on('end', () => {
                const text = Buffer.concat(pieces).toString();
                const answer = JSON.parse(text);
                if (answer.errors) {
                    reject(new Error(text));
                } else {
                    resolve({ data: answer.data, token: response.headers['vendure-auth-token'] });
                }
            });
        });
        request.on('error', reject);
        request.end(body);
    });
    const login = 'mutation { login(username: "superadmin", password: "superadmin") { __typename } }';
    const { token } = await post('admin-api', null, login);
    const fields = 'id firstName lastName emailAddress phoneNumber createdAt updatedAt';
    const addItem = `mutation ($variant: ID!) { addItemToOrder(productVariantId: $variant, quantity: 1) {
        __typename ... on Order { id code totalWithTax lines { id quantity linePriceWithTax } }
        ... on ErrorResult { message } } }`;
    const sessions = [];
    const added = async (caller) => {
        const answer = await post('shop-api', sessions[caller], addItem, { variant: ready.variant });
        sessions[caller] ??= answer.token;
        if (answer.data.addItemToOrder.__typename !== 'Order') {
            throw new Error(JSON.stringify(answer.data));
        }
    };
    let next = 0;
    return {
        pid: child.pid,
        get: (_, n) => post('admin-api', token, `query ($id: ID!) { customer(id: $id) { ${fields} } }`, {
            id: ready.customers[(n * 7919) % customers],
        }),
        list: (_, n) => post('admin-api', token,
            `query ($of: CustomerListOptions) { customers(options: $of) { items { ${fields} } } }`,
            { of: { take: 20, filter: { lastName: { eq: `Lovelace ${(n * 7919) % customers}` } } } }),
        create: () => {
            const number = next++;
            return post('admin-api', token,
                `mutation ($input: CreateCustomerInput!) { createCustomer(input: $input) { __typename } }`,
                { input: {
                    firstName: 'Grace', lastName: `Hopper ${number}`,
                    emailAddress: `grace.hopper.${number}@example.test`,
                } });
        },
        add: added,
    };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const shown = (number) => (number >= 100 ? number.toFixed(0) : number.toFixed(1));

try {
    console.error(`making ${customers} customers in each …`);
    const [ours, theirs] = [await clientela(), await vendure()];
    console.log('| Call, 16 in flight | Clientela /s | Vendure /s | ratio | goal | CPU a call, µs | Vendure µs |');
    console.log('| --- | --- | --- | --- | --- | --- | --- |');
    const calls = [
        ['GetCustomer', 'get', 10], ['ListCustomers, filtered', 'list', 5],
        ['CreateCustomer, no password', 'create', 10], ['AddItem', 'add', 10],
    ];
    for (const [name, call, goal] of calls) {
        const rounds = [];
        for (let round = 0; round < ROUNDS; round += 1) {
            const order = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
            const first = await load(order[0].pid, order[0][call]);
            const second = await load(order[1].pid, order[1][call]);
            rounds.push(round % 2 === 0 ? [first, second] : [second, first]);
        }
        const of = (place, what) => median(rounds.map((round) => round[place][what]));
        const ratio = median(rounds.map(([product, peer]) => product.rate / peer.rate));
        console.log(`| ${name} | ${shown(of(0, 'rate'))} | ${shown(of(1, 'rate'))} | ${shown(ratio)} | ≥ ${goal} ×`
            + ` | ${shown(of(0, 'cpu'))} | ${shown(of(1, 'cpu'))} |`);
    }
    const cpu = execFileSync('sh', ['-c', 'grep -m1 "model name" /proc/cpuinfo; nproc; cat /proc/loadavg']);
    console.log(`\nMedians of ${ROUNDS} rounds of ${seconds} s, ${customers} customers. ${cpu.toString().replaceAll('\n', '; ')}`);
    finish(0);
} catch (error) {
    console.error(error);
    finish(1);
}
