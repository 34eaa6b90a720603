import type { Task } from "../../../core/task.ts";
import { rowOf, type Tensor } from "../../../core/tensor.ts";
import type { Network, Pass, PassOutput } from "../network.ts";

/** What candidates carry: of the drafter until the hand-over, of the refiner from then on. */
export interface HandOverState<Draft, Refined> {
  /** Null once it was handed over: its caches go. */
  readonly draft: Draft | null;
  readonly refined: Refined;
  /** What the drafter read, by stage and candidate: all that the refiner needs of it. Null at the first stage. */
  readonly inputs: readonly (readonly Tensor[] | null)[];
}

/**
 * Collaborative decoding (Chen et al. 2024, CoDe): one network drafts the stages before `at`, another draws the rest. At
 * the hand-over nothing crosses but the code: the refiner reads the drafted stages as if it had drawn them (the paper's
 * one pass with a block-causal mask, here stage by stage). With the same network in both roles nothing changes, not a bit.
 *
 * @param at first stage of the refiner, at least 1
 */
export function handOver<Draft, Refined>(
  drafter: Network<Draft>,
  refiner: Network<Refined>,
  at: number,
): Network<HandOverState<Draft, Refined>> {
  type State = HandOverState<Draft, Refined>;
  /** The refiner's state after the drafted stages. */
  const read = async ({ refined, inputs }: State, { width, guided }: Pass): Promise<Refined> => {
    let state = refined;
    for (let stage = 0; stage < at; stage++) {
      const rows = inputs[stage];
      state = (await refiner.run(state, { stage, width, z: rows ? joined(rows) : null, guided })).state;
    }
    return state;
  };
  return {
    async begin(task: Task) {
      return { draft: await drafter.begin(task), refined: await refiner.begin(task), inputs: [] };
    },
    async run(state: State, input: Pass): Promise<PassOutput<State>> {
      if (input.stage < at) {
        const { delta, state: draft } = await drafter.run(state.draft!, input);
        return { delta, state: { ...state, draft, inputs: [...state.inputs, input.z && rowsOf(input.z)] } };
      }
      const before = input.stage === at ? await read(state, input) : state.refined;
      const { delta, state: refined } = await refiner.run(before, input);
      return { delta, state: { draft: null, refined, inputs: [] } };
    },
    select: ({ draft, refined, inputs }, parents) => ({
      draft: draft && drafter.select(draft, parents),
      refined: refiner.select(refined, parents),
      inputs: inputs.map((rows) => rows && parents.map((parent) => rows[parent]!)),
    }),
    decode: (latents, quality) => drafter.decode(latents, quality),
  };
}

/** Rows of a tensor, as views. */
function rowsOf(tensor: Tensor): Tensor[] {
  const [count, ...dims] = tensor.dims as [number, ...number[]];
  return Array.from({ length: count }, (_, row) => ({ dims, data: rowOf(tensor, row) }));
}

/** The inverse of `rowsOf`. */
function joined(rows: readonly Tensor[]): Tensor {
  const { dims, data: first } = rows[0]!;
  const data = new Float32Array(rows.length * first.length);
  rows.forEach((row, at) => {
    data.set(row.data, at * first.length);
  });
  return { dims: [rows.length, ...dims], data };
}
