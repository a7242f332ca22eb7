// All elements: importing this module defines them.

export { AttentionArcs } from './attention-arcs';
export { AttentionMatrix } from './attention-matrix';
export type { TokenDetail } from './base';
export { EditList } from './edit-list';
export { GenerationGrid } from './generation-grid';
export { MethodComparison } from './method-comparison';
export { PairHeatmap } from './pair-heatmap';
export { PredictionBars } from './prediction-bars';
export { ReductionView } from './reduction-view';
export { GlossatorReport } from './report';
export { TokenHeatmap } from './token-heatmap';
