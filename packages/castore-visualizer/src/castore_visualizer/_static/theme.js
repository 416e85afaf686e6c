// The theme that the user has chosen, before anything is drawn. Without a choice, the system's counts.
"use strict";
try {
  const chosen = localStorage.getItem("castore-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage may be off */ }
