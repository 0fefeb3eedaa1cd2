// What follows the # of an address; nothing where a %-code in it was cut off. For the scripts behind this one.
window.named = (hash) => {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return "";
  }
};
