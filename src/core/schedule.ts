/**
 * One stage of a staged generator. For next-scale (VAR) models a stage is a scale: `h` x `w` tokens, coarse to fine.
 */
export interface Scale {
  readonly index: number;
  readonly h: number;
  readonly w: number;
}
