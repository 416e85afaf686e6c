// Runs pytest in Pyodide, where scripts/pyodide has installed it; arguments go to pytest.
import { readdirSync } from "node:fs";
import { loadPyodide } from "../.services/npm/node_modules/pyodide/pyodide.mjs";

const root = process.cwd();
const sources = readdirSync("packages").map((name) => `${root}/packages/${name}/src`);
const packages = ["core", "in-memory", "pydantic", "test-tools"];

const options = [
  ...packages.map((name) => `packages/castore-${name}/tests`),
  "--quiet",
  "-pno:cacheprovider",
  "-ppyodide_plugin",
  "-otimeout=0", // there is neither an alarm nor a thread to interrupt a test
  ...process.argv.slice(2),
];

const python = await loadPyodide({
  env: {
    CASTORE_REQUIRE_SERVERS: "1", // no test skips itself in silence
    PYTEST_PLUGINS: "castore_test_tools.plugin", // its package is not installed
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONPATH: [...sources, `${root}/.services/pyodide`, `${root}/scripts`].join(":"),
  },
  fsInit: async (FS) => {
    FS.mkdirTree(root);
    FS.mount(FS.filesystems.NODEFS, { root }, root);
  },
});
python.globals.set("root", root);
python.globals.set("options", python.toPy(options));

let code = 1;
try {
  code = python.runPython("import os, pytest; os.chdir(root); int(pytest.main(options))");
} catch (error) {
  console.error(error.message); // the error itself would print all of Pyodide's code
}
process.exit(code);
