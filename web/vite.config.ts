import { defineConfig } from "vite";

// One page, one script, one style, with names that do not change: the server embeds exactly these.
export default defineConfig({
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rollupOptions: {
      output: {
        entryFileNames: "monitor.js",
        assetFileNames: "monitor[extname]",
      },
    },
  },
  server: {
    host: "127.0.0.1",
    // The page calls its own address: in development they are forwarded to a server.
    proxy: {
      "/clientela.v1.": process.env.CLIENTELA_URL ?? "http://127.0.0.1:50051",
    },
  },
});
