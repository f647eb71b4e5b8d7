// Plain functions, no export: found all the same.
function setupPlugin({ attachments, global }) {
  global.names = JSON.parse(attachments.names.contents);
  console.info(attachments.names.file_name, attachments.names.content_type, global.names);
}

function processEvent(event, { global }) {
  if (global.names.includes(event.event)) {
    console.warn('dropped', event.event);
    return null;
  }
  return event;
}
