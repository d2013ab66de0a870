"""From judged segments to what need not be looked at: the rows, the report, the acceptances."""
