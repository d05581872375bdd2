// What a page does with flags; the same code runs in Node and, bundled, in a real browser.
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';

export class Page {
  constructor(baseUrl, token) {
    this.events = [];
    this.statuses = [];
    this.baseUrl = baseUrl;
    this.token = token;
    for (const event of Object.values(ProviderEvents)) {
      OpenFeature.addHandler(event, (details) => this.events.push([event, details?.flagsChanged ?? null]));
    }
  }

  async start({ context, cacheMode = 'disabled', ...options }) {
    const counting = async (...of) => {
      const response = await globalThis.fetch(...of);
      this.statuses.push(response.status);
      return response;
    };
    await OpenFeature.setContext(context);
    const headers = this.token ? [['Authorization', `Bearer ${this.token}`]] : [];
    const provider = new OFREPWebProvider(
      { baseUrl: this.baseUrl, headers, cacheMode, fetchImplementation: counting, ...options },
    );
    try {
      await OpenFeature.setProviderAndWait(provider);
      return 'ready';
    } catch (error) {
      return `${error.code ?? error.name}: ${error.message}`;
    }
  }

  evaluate({ kind, flag, fallback }) {
    const client = OpenFeature.getClient();
    const kinds = {
      boolean: (...of) => client.getBooleanDetails(...of),
      string: (...of) => client.getStringDetails(...of),
      number: (...of) => client.getNumberDetails(...of),
      object: (...of) => client.getObjectDetails(...of),
    };
    return kinds[kind](flag, fallback);
  }

  async become({ context }) {
    await OpenFeature.setContext(context);
  }

  heard() {
    return { events: this.events, statuses: this.statuses, status: OpenFeature.getClient().providerStatus };
  }

  async close() {
    await OpenFeature.close();
  }
}
