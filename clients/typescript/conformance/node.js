// The story in Node, over gRPC.

import { connect } from "clientela";
import { address, ask, key, say, story } from "./harness.js";
import { play } from "./story.js";

await play(story, { key, connectAs: (key) => connect({ address, key }), say, ask });
process.exit();
