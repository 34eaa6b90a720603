import { describeStrategy } from "../../src/testing/strategy-contract.ts";
import { calibration, loadStrategy, strategyNames } from "./support/search-run.ts";

/** Options without which a strategy has nothing to go by. */
const options: Readonly<Record<string, Record<string, unknown>>> = {
  oracle: { judge: "toy" },
  route: { restarts: { color: 0.5 } },
};

for (const name of strategyNames) {
  describeStrategy(name, () => loadStrategy(name, options[name]), {
    calibration: name === "calibrated-stop" ? calibration : null,
  });
}
