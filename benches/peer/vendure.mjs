// Vendure as a process, with better-sqlite3 and a write-ahead log. It makes the schema at the start, and one
// product. Prints a JSON line with its port and the ids that the load needs, and serves until its input
// closes.
import {
    bootstrap, ChannelService, CountryService, Customer, CustomerService, dummyPaymentHandler, LanguageCode,
    ProductService, ProductVariantService, RequestContextService, TaxCategoryService, TaxRateService,
    TransactionalConnection, ZoneService,
} from '@vendure/core';

const [port, database, customers] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];

const app = await bootstrap({
    apiOptions: {
        port, hostname: '127.0.0.1', adminApiPath: 'admin-api', shopApiPath: 'shop-api',
        middleware: [],
    },
    authOptions: {
        tokenMethod: ['bearer'], requireVerification: false,
        superadminCredentials: { identifier: 'superadmin', password: 'superadmin' },
        cookieOptions: { secret: 'of a bench' },
    },
    dbConnectionOptions: {
        type: 'better-sqlite3', database, synchronize: true, logging: false,
        prepareDatabase: (db) => db.pragma('journal_mode = WAL'),
    },
    paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
    plugins: [],
});

const ctx = await app.get(RequestContextService).create({ apiType: 'admin' });
const country = await app.get(CountryService).create(ctx, {
    code: 'DE', enabled: true, translations: [{ languageCode: LanguageCode.en, name: 'Germany' }],
});
const zone = await app.get(ZoneService).create(ctx, { name: 'Europe', memberIds: [country.id] });
const category = await app.get(TaxCategoryService).create(ctx, { name: 'Standard', isDefault: true });
await app.get(TaxRateService).create(ctx, {
    name: 'Standard', enabled: true, value: 19, categoryId: category.id, zoneId: zone.id,
});
const channel = await app.get(ChannelService).getDefaultChannel();
await app.get(ChannelService).update(ctx, {
    id: channel.id, defaultTaxZoneId: zone.id, defaultShippingZoneId: zone.id,
});
const inChannel = await app.get(RequestContextService).create({ apiType: 'admin' });
const product = await app.get(ProductService).create(inChannel, {
    enabled: true,
    translations: [{ languageCode: LanguageCode.en, name: 'T-shirt', slug: 't-shirt', description: '' }],
});
const [variant] = await app.get(ProductVariantService).create(inChannel, [{
    productId: product.id, sku: 't-shirt', price: 1912, stockOnHand: 100000000, taxCategoryId: category.id,
    translations: [{ languageCode: LanguageCode.en, name: 'T-shirt' }],
}]);

// Through the service, so that each customer is in the channel, as after a call.
const ids = [];
for (let number = 0; number < customers; number += 1) {
    const made = await app.get(CustomerService).create(inChannel, {
        firstName: 'Ada', lastName: `Lovelace ${number}`, emailAddress: `ada.lovelace.${number}@example.test`,
    });
    ids.push(made.id);
}
const count = await app.get(TransactionalConnection).getRepository(inChannel, Customer).count();
console.log(JSON.stringify({ port, variant: variant.id, customers: ids, count }));

process.stdin.on('end', () => app.close().then(() => process.exit(0)));
process.stdin.resume();
