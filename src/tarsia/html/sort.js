// Headings of the class table sort it; without scripts it stays in class order.
const table = document.getElementById("classes");
for (const heading of table ? table.tHead.rows[0].cells : []) {
  const button = document.createElement("button");
  button.textContent = heading.textContent;
  heading.replaceChildren(button);
  button.addEventListener("click", () => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => Number(row.cells[heading.cellIndex].dataset.value);
    const rows = [...table.tBodies[0].rows].sort((a, b) => (value(a) - value(b)) * (down ? -1 : 1));
    table.tBodies[0].append(...rows);
  });
}
