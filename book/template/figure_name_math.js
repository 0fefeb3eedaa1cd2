// The formulas of the figure; tests/widgets/test_figure_name.py compares them with Python.

/** Highest loss within rho of w for the loss h w^2 / 2. */
export const parabolaWorst = (w, rho, curvature) => (curvature / 2) * (Math.abs(w) + rho) ** 2;
