// Prefers bright images: the mean of all channels, 0 to 1.
export default async (batch) => batch.map(({ image }) => mean(image.data) / 255);

const mean = (data) => data.reduce((sum, value) => sum + value, 0) / data.length;
